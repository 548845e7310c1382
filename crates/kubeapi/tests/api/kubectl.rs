//! Real `kubectl`: the commands of the runbook, verbatim but for names, and what people use
//! beside them.
