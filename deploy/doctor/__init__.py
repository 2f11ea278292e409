"""Looks at an account, or at this machine, before the stack is deployed there: what would fail, and what to do.

`account` asks who calls, where, and what is there; `quotas` what the account allows; `packages` what would be deployed;
`machine` whether this machine has the tools, and can run the stack. `finding.examine` makes their checks side by side.
"""

__all__: list[str] = []
