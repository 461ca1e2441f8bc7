"""What the office's templates say in a language's own way."""
