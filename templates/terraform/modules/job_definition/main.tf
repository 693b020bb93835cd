resource "aws_batch_job_definition" "this" {
  name                  = var.name
  type                  = var.nodes == null ? "container" : "multinode"
  platform_capabilities = ["EC2"]
  propagate_tags        = true

  # Jobs in the queue keep the revision that they were submitted with.
  deregister_on_new_revision = false

  retry_strategy {
    attempts = var.attempts

    # A retry does not help after wrong settings (exit code 64) or missing CPUs (65), but after a
    # lost host. AWS Batch retries everything that matches none of these. Also with one attempt:
    # adding conditions later would replace the job definition.
    evaluate_on_exit {
      action           = "RETRY"
      on_status_reason = "Host EC2*"
    }

    evaluate_on_exit {
      action       = "EXIT"
      on_exit_code = "64"
    }

    evaluate_on_exit {
      action       = "EXIT"
      on_exit_code = "65"
    }
  }

  timeout {
    attempt_duration_seconds = var.timeout_seconds
  }

  container_properties = var.nodes == null ? jsonencode(local.container) : null

  node_properties = var.nodes == null ? null : jsonencode({
    mainNode = 0
    numNodes = var.nodes
    nodeRangeProperties = [{
      # An open range, so that a submission can request another number of nodes.
      targetNodes = "0:"
      container   = local.container
    }]
  })
}
