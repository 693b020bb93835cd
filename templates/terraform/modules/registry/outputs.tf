output "url" {
  description = "What image references start with."
  value       = aws_ecr_repository.this.repository_url
}
