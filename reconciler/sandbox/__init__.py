"""The embedded tenant: a SCIM 2.0 service over HTTP and SQLite, for tests, demos and benchmarks.

It shares no code with the reconciler, so that a misreading of the RFC cannot hide in both ends.

Reading order: `config` (what can be set), `server` (start and stop), `app` (pipeline and routes), `endpoints/` (one
module per endpoint family), `directory` (create, replace, patch, delete), `store` (SQLite). Beside them the RFC by
subject: `schema`, `definitions`, `validation`, `filters`, `matching`, `patch`, `membership`, `preconditions`,
`projection`, `listing`, `bulk`, `jobs`, `provider`; and what departs from it on purpose: `quirks`.
"""
