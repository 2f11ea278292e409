"""The programs of the Lambda functions: one folder each, whose `handler.handler` Lambda calls."""

__all__: list[str] = []
