"""The commands, the local Kafka broker, the demo."""
