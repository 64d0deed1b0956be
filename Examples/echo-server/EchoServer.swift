import ArgumentParser

@main
struct EchoServer: ParsableCommand {
    func run() throws {}
}
