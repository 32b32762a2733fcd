"""What the backends that speak SQL share: plans over named statements, whose dialect is theirs."""
