"""Submit a job of mngen.yaml, follow it, and print its final state, in five lines.

pip install mngen
python submit.py
"""

from mngen.jobs import Jobs

jobs = Jobs.of("mngen.yaml")
job = jobs.submit("mpi-example", nodes=4, environment={"OMP_NUM_THREADS": "2"})
for line in jobs.follow(job.id):
    print(f"[{line.node}] {line.text}")
print(jobs.status(job.id).state)
