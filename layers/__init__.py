"""The packages of the Lambda functions: small, pinned, the same bytes every time (docs/packages.md)."""
