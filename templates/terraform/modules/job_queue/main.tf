resource "aws_batch_job_queue" "this" {
  name     = var.name
  state    = var.enabled ? "ENABLED" : "DISABLED"
  priority = var.priority

  # By reference, so that Terraform moves the queue to a new environment before it deletes the old
  # one.
  dynamic "compute_environment_order" {
    for_each = var.compute_environment_arns

    content {
      order               = compute_environment_order.key
      compute_environment = compute_environment_order.value
    }
  }

  # AWS Batch defines these reasons:
  # https://docs.aws.amazon.com/batch/latest/userguide/job_queue_parameters.html
  dynamic "job_state_time_limit_action" {
    for_each = merge(
      var.cancel_without_capacity_after == null ? {} : {
        "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY" = var.cancel_without_capacity_after
      },
      var.cancel_misconfigured_after == null ? {} : {
        "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE" = var.cancel_misconfigured_after
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"         = var.cancel_misconfigured_after
      },
    )

    content {
      action           = "CANCEL"
      state            = "RUNNABLE"
      reason           = job_state_time_limit_action.key
      max_time_seconds = job_state_time_limit_action.value
    }
  }
}
