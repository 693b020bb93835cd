resource "aws_ecr_repository" "this" {
  #checkov:skip=CKV_AWS_136:encrypted with ECR's own key; a customer's key is billed and needs its own policy
  name                 = var.name
  image_tag_mutability = "IMMUTABLE"

  # An image can be built again, and a repository with images would stop `terraform destroy`.
  force_delete = true

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  repository = aws_ecr_repository.this.name

  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "Layers that no tag names any more"
      selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 14 }
      action       = { type = "expire" }
    }]
  })
}
