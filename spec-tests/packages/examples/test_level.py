import json
import unittest
import gelf_vectors

class Levels(unittest.TestCase):
    def test_levels(self):
        for vector in gelf_vectors.load("level"):
            if vector["demand"] == "take":
                found = json.loads(gelf_vectors.bytes_of(vector["payload"])).get("level")
                self.assertEqual(found, vector["strict"]["messages"][0].get("level"), vector["id"])
