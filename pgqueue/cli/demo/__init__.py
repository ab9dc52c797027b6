"""pgqueue demo: the whole queue at work, on real files, with real processes, one of which is killed.

example    where the example's application and its file of orders lie
workers    the worker processes
story      what happens, step by step
proof      what the database says at the end
"""

from pgqueue.cli.demo.command import demo

__all__ = ["demo"]
