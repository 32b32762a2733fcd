"""Time to live of threads: the policy, expiry refresh on read, and the background sweeper."""
