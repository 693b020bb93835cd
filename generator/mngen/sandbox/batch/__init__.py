"""A Batch backend that takes the place of moto's.

moto's runs each job in a Docker container. This one runs none: it schedules jobs onto the nodes
that the compute environments could start, and lets each reach a state after the time that AWS
takes.

- `_environments`, `_definitions`, `_interfaces`, `_shares`: Batch's resources;
- `_actions`, `_submit`, `_job`, `_schedule`, `_list`, `_logs`, `_machines`, `_reasons`,
  `_unjoined`: its jobs;
- `_backend`: all of it in the place of moto's methods.
"""
