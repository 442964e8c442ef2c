"""The embedded tenant: a SCIM 2.0 service over HTTP and SQLite, for tests, demos and benchmarks.

It shares no code with the reconciler, so that a misreading of the RFC cannot hide in both ends.

Reading order: `config` (what can be set), `server` (start and stop), `app` (pipeline and routes), `endpoints/` (one
module per endpoint family), `directory` (create, replace, patch, delete), `store` (SQLite). Beside them the RFC by
subject: `schema`, `definitions`, `validation`, `filters`, `matching`, `patch`, `membership`, `preconditions`,
`projection`, `listing`, `bulk`, `provider`. What only CXone has: `tenant_rules`, `licences`, `jobs`. What departs from
all that on purpose: `rate_limit`, `faults` (when) and `misbehavior` (how), `quirks`.
"""
