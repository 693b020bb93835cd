output "url" {
  description = "First part of the image references."
  value       = aws_ecr_repository.this.repository_url
}
