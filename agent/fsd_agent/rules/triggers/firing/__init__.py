"""From a condition that is true to a firing: phases, schedules, the evaluation budget."""
