"""The Relay kind's controller: claims and plan decide, the reconciler acts."""
