"""The emulator: moto in a process of its own, and what closes its differences from AWS."""
