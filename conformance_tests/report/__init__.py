"""Reports of a run: HTML, JSON, JUnit, badge, baseline."""
