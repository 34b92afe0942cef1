from driver import fresh, remember

VARIABLES = ["NLTK_DATA"]
VALUES = {
    "NLTK_DATA": [
        "", "{exists}", "{missing}", "{missing}:{exists}", "{readonly}:{exists}", "{foreign}:~/nltk", "~/nltk", "rel:{file}",
        "::{exists}", "~root", ".", "~nobody-such:{home}",
    ]
}
FILES = {"{home}/nltk_data/x": ["x"], "{home}/nltk/x": ["x"]}


def load():
    global data, downloader
    from nltk import data, downloader

    remember(data)


def answers():
    fresh(data)
    return {"nltk": lambda: downloader.Downloader().default_download_dir()}
