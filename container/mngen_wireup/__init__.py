"""Joins the containers of a multi-node AWS Batch job into one MPI machine, and ends them together.

`wireup.py` is the entrypoint of the container on every node. Its arguments are the job's command:

    wireup.py python3 /efs/mpi_example.py

The child nodes connect to the main node over TCP, and each side proves to the other that it has the
job's secret. The main node hands out a public key made for this job, starts `mpirun`, and reports
when it ends. The connections stay open: a node that dies closes its connection, and a node that
vanishes misses heartbeats. A single-node job runs the same command under the same launcher.

Environment: the AWS_BATCH_JOB_* variables of AWS Batch, and

    MNGEN_SECRET            shared secret of the job's nodes
    MNGEN_SHARED            folder on the shared file system, to pass a secret if none is set
    MNGEN_CPUS              CPUs that each node should have
    MNGEN_CPUS_CHECK        warn, fail or off (warn)
    MNGEN_LAUNCHER          openmpi, intelmpi or mpich; main: the main node alone runs the command,
                            with ssh to all; torchrun; none: every node runs it (openmpi)
    MNGEN_GROUP             the node's group; set: each node runs its own container's command
    MNGEN_RUNS_BESIDE       yes: a child runs its command beside launcher main's (no)
    MNGEN_RANKS_PER_NODE    ranks on each node (CPUs / MNGEN_THREADS_PER_RANK)
    MNGEN_THREADS_PER_RANK  OMP_NUM_THREADS (1)
    MNGEN_MPI_ARGS          further arguments of mpirun, split as a shell would
    MNGEN_WAIT              seconds to wait for all nodes (900)
    MNGEN_HEARTBEAT         seconds between heartbeats; a node is lost after three missed ones (5)
    MNGEN_PORT              port on which the main node listens (7710)
    MNGEN_INPUTS            folder of the job's inputs, on the shared file system
    MNGEN_INPUTS_FROM       s3://... URL from which the main node fetches them if they are missing
    MNGEN_ROWS              rows of a sweep, packed; a child of an array job runs that of its index
    MNGEN_OUTPUTS           folder of the job's outputs, made on each node; {job} is the job's ID
    MNGEN_OUTPUTS_TO        s3://... URL below which the main node uploads it when the job has ended

Exit codes: the application's own, on every node; or, after a line that gives the reason, one of
`mngen_wireup.errors`.

Needs Python 3.9 or newer and no other Python package; ssh, sshd and ssh-keygen for launchers
that use it, and fetch_inputs.py and upload_outputs.py beside wireup.py for inputs from S3 and for
outputs to it.

Every node of a job starts at the same time, so start-up counts. The package does not import
`typing`, which costs as much as all other modules of it; `lean` replaces other modules that take
long to import; and a child node does not import what only the main node needs.
"""
