"""coord-nats - the engine of nats:// and tls://: a log on NATS JetStream."""
