resource "aws_batch_job_definition" "this" {
  name                  = var.name
  type                  = var.nodes == null ? "container" : "multinode"
  platform_capabilities = ["EC2"]
  propagate_tags        = true

  # Jobs in the queue keep the revision that they were submitted with.
  deregister_on_new_revision = false

  retry_strategy {
    attempts = var.attempts
  }

  timeout {
    attempt_duration_seconds = var.timeout_seconds
  }

  container_properties = var.nodes == null ? jsonencode(local.container) : null

  node_properties = var.nodes == null ? null : jsonencode({
    mainNode = 0
    numNodes = var.nodes
    nodeRangeProperties = [{
      # An open range, so that a submission can ask for another number of nodes.
      targetNodes = "0:"
      container   = local.container
    }]
  })
}
