"""The emulator: moto in a separate process, and what closes its differences from AWS."""
