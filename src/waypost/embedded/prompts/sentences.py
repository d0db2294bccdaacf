"""Sentences in English and Brazilian Portuguese, built from the same parts; our own wording."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from waypost.embedded.prompts.draft import table


class Pair(NamedTuple):
    """A sentence in both languages, each with every accepted form; the first is the usual one."""

    english: tuple[str, ...]
    portuguese: tuple[str, ...]


# English | Portuguese with its article; " / " parts forms that mean the same.
_WHO = table("""
    my brother | meu irmão
    my sister | minha irmã
    the teacher | o professor
    the doctor | o médico
    our neighbour / our neighbor | nosso vizinho
    the girl | a menina
    the boy | o menino
    my mother | minha mãe
    the old man | o velho / o homem velho / o idoso
    the baker | o padeiro
    my friend | meu amigo
    the nurse | a enfermeira / o enfermeiro
    the driver | o motorista
    her cousin | o primo dela / seu primo
    the children's aunt / the aunt of the children | a tia das crianças
""")
_DOES = table("""
    bought a new car | comprou um carro novo
    lost the keys | perdeu as chaves
    lives near the river | mora perto do rio
    works in a hospital | trabalha em um hospital / trabalha num hospital
    is reading a book about birds | está lendo um livro sobre pássaros / está lendo um livro sobre aves
    wants to learn French | quer aprender francês
    cooks very well | cozinha muito bem
    forgot the umbrella at home / left the umbrella at home | esqueceu o guarda-chuva em casa
    never drinks coffee at night | nunca bebe café à noite / nunca toma café à noite
    sold the old house | vendeu a casa velha / vendeu a antiga casa / vendeu a velha casa
    is waiting for the bus | está esperando o ônibus / está à espera do ônibus / está esperando pelo ônibus
    found a small dog in the street / found a small dog on the street | \
        encontrou um cachorro pequeno na rua / encontrou um pequeno cachorro na rua
    closed the door and went away / closed the door and left | fechou a porta e foi embora / fechou a porta e saiu
    has two cats and a horse | tem dois gatos e um cavalo
    will travel to Italy next year / is going to travel to Italy next year | \
        vai viajar para a Itália no ano que vem / viajará para a Itália no próximo ano
    wrote a long letter to the mayor | escreveu uma longa carta ao prefeito / escreveu uma longa carta para o prefeito
    is afraid of the dark | tem medo do escuro
    arrived late because of the rain | chegou atrasado por causa da chuva / chegou tarde por causa da chuva
    paid the bill with a card / paid the bill by card | pagou a conta com cartão
    plays the guitar on Sundays | toca violão aos domingos / toca guitarra aos domingos
""")
_THINGS = table("""
    the window | a janela | open | aberta
    the kitchen | a cozinha | clean | limpa
    the soup | a sopa | cold | fria
    the garden | o jardim | beautiful | bonito
    the train | o trem | late | atrasado
    the water | a água | warm | morna
    the street | a rua | empty | vazia
    the museum | o museu | closed | fechado
    the bread | o pão | fresh | fresco
    the road | a estrada | dangerous | perigosa
    the shop | a loja | full | cheia
    the glass | o copo | broken | quebrado
    the river | o rio | dirty | sujo
    the bed | a cama | ready | pronta
""")
_WHEN = table("""
    today | hoje
    this morning | esta manhã / hoje de manhã
    now | agora
    again | de novo / novamente
    tonight | esta noite / hoje à noite
""")
_WISHES = table("""
    a glass of water | um copo de água
    two tickets to the beach | duas passagens para a praia / dois bilhetes para a praia
    a table for four people | uma mesa para quatro pessoas
    a map of the city / a city map | um mapa da cidade
    some help with my homework / help with my homework | \
        ajuda com minha lição de casa / ajuda com meu dever de casa
    a room with a view of the sea / a room with a sea view | um quarto com vista para o mar
    a black coffee without sugar | um café preto sem açúcar
    a warm coat for the winter | um casaco quente para o inverno
    three kilos of oranges | três quilos de laranjas
    a receipt for the taxi | um recibo do táxi
""")
_PLACES = table("""
    the railway station / the train station | a estação de trem / a estação ferroviária
    the nearest pharmacy | a farmácia mais próxima
    the post office | o correio / os correios
    the public library | a biblioteca pública
    the airport | o aeroporto
    a good restaurant | um bom restaurante
    the swimming pool | a piscina
    the police station | a delegacia / a delegacia de polícia
    the main entrance | a entrada principal
    the bus stop | o ponto de ônibus
""")
_WHOLE = table("""
    Good morning, how are you? | Bom dia, como você está?
    What time does the film start? / What time does the movie start? | A que horas começa o filme?
    I do not understand what you said. | Não entendo o que você disse.
    The meeting was moved to Friday. | A reunião foi transferida para sexta-feira.
    Please turn off the lights before you leave. | Por favor, apague as luzes antes de sair.
    We have been friends since childhood. | Somos amigos desde a infância.
    If it rains tomorrow, we will stay at home. / If it rains tomorrow, we'll stay home. | \
        Se chover amanhã, vamos ficar em casa.
    He speaks three languages but writes only one. | Ele fala três idiomas, mas escreve apenas um.
    The price includes breakfast and dinner. | O preço inclui café da manhã e jantar.
    My phone has no battery. | Meu celular está sem bateria.
    She smiled and said goodbye. | Ela sorriu e disse adeus.
    There is nothing in the fridge. | Não há nada na geladeira.
    Nobody knows the answer. | Ninguém sabe a resposta.
    The cat is sleeping on the sofa. | O gato está dormindo no sofá.
    I am very tired but happy. | Estou muito cansado, mas feliz.
    Can you repeat that more slowly? / Can you repeat this more slowly? | Você pode repetir isso mais devagar?
    The moon is brighter than last night. | A lua está mais brilhante do que ontem à noite.
    We need to save water. | Precisamos economizar água.
    They got married on a beach. | Eles se casaram em uma praia.
    This soup needs more salt. | Esta sopa precisa de mais sal.
    My grandmother makes the best cake in the world. | Minha avó faz o melhor bolo do mundo.
    The students asked many questions. | Os alunos fizeram muitas perguntas.
    It is too early to decide. / It's too early to decide. | É cedo demais para decidir.
    Close your eyes and count to ten. | Feche os olhos e conte até dez.
    The bridge was built a hundred years ago. | A ponte foi construída há cem anos.
    Do you know where the museum is? | Você sabe onde fica o museu?
    I would like to book a room for two nights. | Gostaria de reservar um quarto para duas noites.
    The dog ran after the ball. | O cachorro correu atrás da bola.
    Money does not buy happiness. | Dinheiro não compra felicidade.
    Let's meet in front of the cinema at eight. | Vamos nos encontrar em frente ao cinema às oito.
    The exam was easier than I thought. | A prova foi mais fácil do que eu pensava.
    Summer is my favourite season. | O verão é minha estação favorita.
    Twenty percent of the tickets are already sold. / Twenty percent of the tickets have already been sold. | \
         Vinte por cento dos ingressos já foram vendidos.
    Two plus two is four. | Dois mais dois são quatro.
    The city has three million inhabitants. | A cidade tem três milhões de habitantes.
    We walked ten kilometres yesterday. | Nós caminhamos dez quilômetros ontem.
    The company was founded in 1998. | A empresa foi fundada em 1998.
    What is the capital of Brazil? | Qual é a capital do Brasil?
    Write your name at the top of the page. | Escreva seu nome no topo da página.
    The child drew a yellow sun. | A criança desenhou um sol amarelo.
""")


def pair(rng: Random) -> Pair:
    """One sentence and its translations."""
    return rng.choice((_story, _story, _story, _state, _wish, _where, _whole))(rng)


def _story(rng: Random) -> Pair:
    (who, quem), (does, faz) = rng.choice(_WHO), rng.choice(_DOES)
    portuguese = []
    for q in _forms(quem):
        she = q.split()[0] in ("a", "minha")
        portuguese += [f"{q} {f.replace('atrasado', 'atrasada') if she else f}." for f in _forms(faz)]
    return _pair([f"{w} {d}." for w in _forms(who) for d in _forms(does)], portuguese)


def _state(rng: Random) -> Pair:
    (thing, coisa, how, como), (when, quando) = rng.choice(_THINGS), rng.choice(_WHEN)
    if rng.random() < 0.5:
        return _pair([f"{thing} is {how} {when}."], [f"{coisa} está {como} {q}." for q in _forms(quando)])
    why = [f"Por que {coisa} não está {como} {q}?" for q in _forms(quando)]
    return _pair([f"Why is {thing} not {how} {when}?", f"Why isn't {thing} {how} {when}?"], why)


def _wish(rng: Random) -> Pair:
    what, o_que = rng.choice(_WISHES)
    start, inicio = rng.choice(
        (
            ("I need", ("Preciso de", "Eu preciso de")),
            ("I would like", ("Gostaria de", "Eu gostaria de")),
            ("We want", ("Queremos", "Nós queremos")),
            ("She asked for", ("Ela pediu",)),
        )
    )
    return _pair([f"{start} {w}." for w in _forms(what)], [f"{i} {o}." for o in _forms(o_que) for i in inicio])


def _where(rng: Random) -> Pair:
    place, lugar = rng.choice(_PLACES)
    english, portuguese = rng.choice(
        (
            ("Where is {}?", ("Onde fica {}?", "Onde está {}?", "Onde é {}?")),
            ("Is {} far from here?", ("{} fica longe daqui?", "{} é longe daqui?")),
            ("I am looking for {}.", ("Estou procurando {}.", "Eu estou procurando {}.")),
            ("How long does it take to walk to {}?", ("Quanto tempo leva para caminhar até {}?",)),
        )
    )
    return _pair(
        [english.format(p) for p in _forms(place)], [form.format(o) for o in _forms(lugar) for form in portuguese]
    )


def _whole(rng: Random) -> Pair:
    english, portuguese = rng.choice(_WHOLE)
    return _pair(_forms(english), _forms(portuguese))


def _forms(cell: str) -> list[str]:
    return cell.split(" / ")


def _pair(english: list[str], portuguese: list[str]) -> Pair:
    return Pair(*(tuple(form[:1].upper() + form[1:] for form in forms) for forms in (english, portuguese)))
