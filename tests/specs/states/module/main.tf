# What state.json beside this file is the state of: terraform-aws-modules/batch 2.1.0, the last
# version for version 5 of the AWS provider, and a queue of plain Terraform. `record` in
# tests/support/module_state.py wrote it.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  region = "eu-west-1"
}

data "aws_subnets" "default" {}

data "aws_security_group" "default" {
  name = "default"
}

module "batch" {
  source  = "terraform-aws-modules/batch/aws"
  version = "2.1.0"

  instance_iam_role_name = "reef-ecs"
  service_iam_role_name  = "reef-batch"

  compute_environments = {
    big = {
      name_prefix = "reef-big"
      compute_resources = {
        type               = "EC2"
        min_vcpus          = 0
        max_vcpus          = 960
        instance_types     = ["r5.24xlarge"]
        security_group_ids = [data.aws_security_group.default.id]
        subnets            = [sort(data.aws_subnets.default.ids)[0]]
        tags               = { Name = "reef" }
      }
    }
    small = {
      name_prefix = "reef-small"
      compute_resources = {
        type                = "SPOT"
        allocation_strategy = "SPOT_CAPACITY_OPTIMIZED"
        min_vcpus           = 0
        max_vcpus           = 100
        instance_types      = ["m5.4xlarge"]
        security_group_ids  = [data.aws_security_group.default.id]
        subnets             = [sort(data.aws_subnets.default.ids)[0]]
      }
    }
  }

  # Its policies weigh shares; every queue gets one unless told not to.
  job_queues = {
    first = {
      name                 = "ReefFirst"
      state                = "ENABLED"
      priority             = 7
      compute_environments = ["big"]
      fair_share_policy = {
        compute_reservation = 1
        share_decay_seconds = 3600
        share_distribution  = [{ share_identifier = "A*", weight_factor = 0.1 }]
      }
    }
    second = {
      name                     = "ReefSecond"
      state                    = "ENABLED"
      priority                 = 1
      compute_environments     = ["small"]
      create_scheduling_policy = false
    }
  }

  job_definitions = {
    hello = {
      name           = "reef-hello"
      propagate_tags = true
      container_properties = jsonencode({
        command = ["ls"]
        image   = "busybox:1.36"
        resourceRequirements = [
          { type = "VCPU", value = "1" },
          { type = "MEMORY", value = "1024" },
        ]
      })
      attempt_duration_seconds = 60
      retry_strategy           = { attempts = 3 }
    }
  }
}

resource "aws_batch_job_queue" "plain" {
  name     = "ReefPlain"
  state    = "ENABLED"
  priority = 3

  compute_environment_order {
    order               = 1
    compute_environment = module.batch.compute_environments["big"].arn
  }

  job_state_time_limit_action {
    action           = "CANCEL"
    max_time_seconds = 7200
    reason           = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
    state            = "RUNNABLE"
  }
}
