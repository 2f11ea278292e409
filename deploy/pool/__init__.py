"""Lambda's execution environments on this machine: `awslambdaric` processes with limits and a `/tmp` of their own.

ministack hands a call over by HTTP; the pool finds a free environment of the function or starts one, and answers.
"""

__all__: list[str] = []
