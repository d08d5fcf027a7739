"""The Cluster kind's controller: connects, and says what it met."""
