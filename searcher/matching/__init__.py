"""From a query's vectors to matches and a decision: functions over arrays."""
