import ArgumentParser

@main
struct UpdraftCommand: ParsableCommand {
    func run() throws {}
}
