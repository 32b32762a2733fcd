"""Time to live of threads: the policy, moving an expiry, the sweeper."""
