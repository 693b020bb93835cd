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
    # lost host. AWS Batch retries everything that matches none of these.
    dynamic "evaluate_on_exit" {
      for_each = var.attempts == 1 ? [] : [
        { action = "RETRY", on_status_reason = "Host EC2*", on_exit_code = null },
        { action = "EXIT", on_status_reason = null, on_exit_code = "64" },
        { action = "EXIT", on_status_reason = null, on_exit_code = "65" },
      ]

      content {
        action           = evaluate_on_exit.value.action
        on_status_reason = evaluate_on_exit.value.on_status_reason
        on_exit_code     = evaluate_on_exit.value.on_exit_code
      }
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
