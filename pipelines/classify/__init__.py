"""Saying what is in many pictures, or in frames of a video: by the API, side by side, or in this process.

- `frames` makes pictures: files as they are sent, frames of a video evenly or one a scene.
- `job` asks for all of them, some at a time, and tries again what may yet succeed; `retry` says when.
- `api` asks the deployed classifier (`sign` for deployments that want signatures), `here` a model in this process.
- `answers` is what all of them speak of; `results` writes it down, `page` shows it.
"""

__all__: list[str] = []
