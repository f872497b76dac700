# SPDX-License-Identifier: Apache-2.0
"""Cases for one file of tests: given where they are read, run in one call per profile.

    CASES = Cases()
    CASES.given("16", ds)
    def test_case_16_...(shown): assert not shown("16").holds("ZQ16")
"""
import pytest

import deidrun


class Cases:
    def __init__(self):
        self.profiles, self.more = {}, {}

    def given(self, name, what, profile="basic", more=()):
        """more: further arguments of the command, one set for a profile."""
        self.profiles.setdefault(profile, {})[name] = what
        self.more.setdefault(profile, more)

    def fixture(self):
        @pytest.fixture(scope="module")
        def shown(tmp_path_factory):
            made = {}

            def find(name, profile="basic"):
                if profile not in made:
                    batch = deidrun.Batch(tmp_path_factory.mktemp("cases"), profile,
                                          *self.more[profile])
                    for key, what in self.profiles[profile].items():
                        batch.add(key, what)
                    made[profile] = batch.run()
                    for key, one in made[profile].items():
                        one.stderr = batch.stderr
                return made[profile][name]
            return find
        return shown


def refused(one):
    """Closed, with a reason, and nothing of a value in the message."""
    return one.raw is None and one.refused
