locals {
  container = merge(
    {
      image      = var.image
      command    = var.command
      jobRoleArn = var.job_role_arn

      resourceRequirements = [
        { type = "MEMORY", value = tostring(var.memory_mib) },
        { type = "VCPU", value = tostring(var.vcpus) },
      ]

      # AWS Batch drops variables without a value, and every plan would add them again.
      environment = [
        for name, value in var.environment : { name = name, value = value } if value != ""
      ]

      # The instance mounts the file system; the container has it in the same place.
      mountPoints = [{ containerPath = var.efs_mount, readOnly = false, sourceVolume = "efs" }]
      volumes     = [{ name = "efs", host = { sourcePath = var.efs_mount } }]

      linuxParameters = merge(
        { sharedMemorySize = var.shared_memory_mib },
        var.efa_devices == 0 ? {} : {
          devices = [
            for index in range(var.efa_devices) : {
              hostPath      = "/dev/infiniband/uverbs${index}"
              containerPath = "/dev/infiniband/uverbs${index}"
              permissions   = ["READ", "WRITE", "MKNOD"]
            }
          ]
        },
      )

      logConfiguration = {
        logDriver = "awslogs"
        options = {
          "awslogs-group"         = var.log_group
          "awslogs-region"        = var.log_region
          "awslogs-stream-prefix" = var.name
        }
      }
    },
    # EFA registers the memory that it sends from.
    var.efa_devices == 0 ? {} : {
      ulimits = [{ name = "memlock", hardLimit = -1, softLimit = -1 }]
    },
  )
}
