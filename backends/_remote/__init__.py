"""What backends behind an address share: endpoints, clients, the wire, its errors."""
