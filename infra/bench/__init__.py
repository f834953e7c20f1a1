"""What ripcord costs and how fast it is, with the raw tools beside."""
