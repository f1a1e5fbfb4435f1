"""Applications: what people do with the models, whole, from their own files to a result.

`groundup.apps.language_model` trains a language model on a text file.
"""
