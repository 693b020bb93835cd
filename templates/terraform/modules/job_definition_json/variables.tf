variable "name" {
  description = "Name of the job definition."
  type        = string
}

variable "type" {
  description = "Type of the job definition: container or multinode."
  type        = string
}

variable "container_properties" {
  description = "Container of a single-node job, as JSON."
  type        = string
  default     = null
}

variable "node_properties" {
  description = "Nodes of a multi-node parallel job, as JSON."
  type        = string
  default     = null
}

variable "parameters" {
  description = "Default values of the parameters that the command refers to."
  type        = map(string)
  default     = {}
}

variable "platform_capabilities" {
  description = "What jobs run on; empty: EC2."
  type        = list(string)
  default     = []
}

variable "propagate_tags" {
  description = "Whether tasks get the tags of the job and of the job definition."
  type        = bool
  default     = false
}

variable "attempts" {
  description = "Number of attempts, the first one included; null: one."
  type        = number
  default     = null
}

variable "evaluate_on_exit" {
  description = "After which results of an attempt AWS Batch starts another one, or does not."

  type = list(object({
    action           = string
    on_exit_code     = optional(string)
    on_reason        = optional(string)
    on_status_reason = optional(string)
  }))

  default = []
}

variable "timeout_seconds" {
  description = "Seconds after which AWS Batch stops an attempt; null: no limit."
  type        = number
  default     = null
}

variable "scheduling_priority" {
  description = "Priority within a share, in queues with a fair-share scheduling policy."
  type        = number
  default     = null
}

variable "tags" {
  description = "Tags of the job definition."
  type        = map(string)
  default     = {}
}
