"""What is kept in a database: SQLite beside the gateway, or PostgreSQL where the operator names one."""
