"""The pages of `forestall explain`: one a kind, and what they share."""
