"""The engine on a search server, OpenSearch and Elasticsearch alike: plain requests through a ``Transport``, differences in ``dialect``."""
