import ArgumentParser

@main
struct Leaderboard: ParsableCommand {
    func run() throws {}
}
