"""Reports of a run: HTML, JUnit, badge, baseline."""
