"""(base, desired, live) -> Plan. Pure: no input, no output, no clock."""
