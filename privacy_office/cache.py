"""What the shared cache holds, as JSON. Refuses pickles: whoever can write to Redis must not run code in the web server."""

import json


class JSONSerializer:
    def dumps(self, value):
        return json.dumps(value)

    def loads(self, data):
        return json.loads(data)
