"""The process that thinks and learns beside the proxy, and how the proxy talks to it."""
