output "name" {
  description = "Name of the job definition, for its latest revision."
  value       = aws_batch_job_definition.this.name
}

output "arn" {
  description = "ARN of this revision."
  value       = aws_batch_job_definition.this.arn
}
