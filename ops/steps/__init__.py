"""What a step of `pulumi up` does."""
